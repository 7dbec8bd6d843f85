"""Where and how a task runs: device, progress, cancelling, the task as data."""
