"""The quarterly review and its monthly short form: figures, sentences, charts, tables."""
