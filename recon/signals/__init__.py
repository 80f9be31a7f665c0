"""Images, sounds and videos as signals: values on a grid, read from files and written back in the format they had."""
