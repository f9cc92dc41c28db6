"""The pages of the documentation: what they show is executed, what they tell is so."""
