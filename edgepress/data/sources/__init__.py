"""Sources: each file lists the images of one kind of place as a `Listing`."""
