"""A trained network on images of one's own: read with the guards of the datasets, labelled in the image's geometry."""
