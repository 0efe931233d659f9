"""S3 on real patients: findings of each disc of SPIDER, from whichever of its series there are."""
