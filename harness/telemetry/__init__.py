"""What happened, as lines for people (iteration.log, console) and as records for programs (component logs)."""
