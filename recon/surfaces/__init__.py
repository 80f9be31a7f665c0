"""Level sets of functions as triangle meshes: extraction, normals, measures and files."""
