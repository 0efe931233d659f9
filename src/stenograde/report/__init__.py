"""What we say about a study, in words and pictures: JSON, HTML, CSV and overlay pictures."""
