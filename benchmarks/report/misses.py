"""Why goals are missed, as far as the profiler tells: by figure and measure."""

WHY: dict[str, str] = {}
