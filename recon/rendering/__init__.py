"""Pictures of meshes and fields, made without OpenGL."""
