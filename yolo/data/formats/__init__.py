"""Tell the format of a data set and read its index: images, annotations, published splits."""
