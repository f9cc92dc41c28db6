"""Small asyncio tools: the clock and its alarm, running tasks to their end, a mailbox."""
