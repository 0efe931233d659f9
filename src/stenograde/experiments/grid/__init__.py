"""The grid of S3: every row of the document's table, on vectors of whole series, split by patient."""
