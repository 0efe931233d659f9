"""Why a grader says what it says of a cell: slices by attention, places by integrated gradients; needs captum."""
