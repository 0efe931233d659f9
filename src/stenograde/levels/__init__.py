"""Numpy geometry of the spine: from a locator's marks to named levels, points and measurements in mm."""
