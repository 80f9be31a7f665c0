"""The jobs that `recon` does: data and a field in, losses, scores and artefacts out. Tasks do not know one another."""
