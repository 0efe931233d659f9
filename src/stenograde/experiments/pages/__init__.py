"""Tables and figures of a result, as HTML and Markdown."""
