"""Posed pictures on disk to a `Scene`, whatever their layout; and writing one."""
