"""config.yaml: its schema, how it is read, and how it is explained.

Read commands must stay quick and do not import this package: pydantic alone costs more than they do.
"""
