"""Files: complete or not there at all, hashes, arrays, images."""
