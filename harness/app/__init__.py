"""The composition root: the only place that names concrete classes and hands them to the engine."""
