"""Examples of each command, as its help shows them: the one place that holds them (a test parses them all)."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "sdf": (
        ("recon sdf --shape idol", "a bundled shape, in a minute or two"),
        ("recon sdf --shape my.obj --field siren --field.width 256", "a file, another network"),
        ("recon sdf --shape dragon --preset small --steps 2000", "better settings, fewer steps"),
        ("recon sdf --resume latest", "go on with a run that was stopped"),
    ),
    "occ": (
        ("recon occ --shape idol", "a bundled shape by ASMR, on the cells of its grid"),
        ("recon occ --shape chair.off --field hash-grid --json", "one JSON object on standard output"),
        ("recon occ --resume latest", "go on with a run that was stopped"),
    ),
    "nerf": (
        ("recon nerf --scene figurines", "the bundled scene, made at first use"),
        ("recon nerf --scene path/to/folder --downscale 4 --field hash-grid", "your pictures, a quarter of each side"),
        ("recon nerf --scene lego --steps 6400 --out lego_long", "longer, in a folder of your own"),
        ("recon nerf --resume latest", "go on with a run that was stopped"),
    ),
    "fit": (
        ("recon fit --signal photo.png --field asmr", "a picture, by fewer numbers than it has"),
        ("recon fit --signal speech.wav --field siren --steps 500", "a sound, another network, fewer steps"),
        ("recon fit --signal clip.mp4 --frames 32", "the first frames of a film"),
        ("recon fit --signal two.wav --field neural-experts --segments who.json", "an expert for each speaker"),
        ("recon fit --resume latest", "go on with a run that was stopped"),
    ),
    "tables": (
        ("recon tables", "all tables, their networks and data, and what is here"),
        ("recon tables asmr-2 --steps-scale 0.05", "one in a twentieth of the paper's steps; again, to go on"),
        (
            "recon tables neural-experts-6 --rows random grid --recipe quick --steps-scale 0.02",
            "a part, by short recipes",
        ),
        ("recon tables loe-1 --data photo.png --downscale 4", "on a picture of your own"),
    ),
    "eval": (
        ("recon eval latest", "the scores again, from the run's folder alone"),
        ("recon eval dragon --protocol paper --json", "a run by its name, scored as Neural Experts' paper did"),
    ),
    "eval mesh": (
        ("recon eval mesh mine.ply true.ply", "any two meshes, in their own units"),
        ("recon eval mesh mine.ply true.ply --frame normalised", "as runs are scored"),
    ),
    "render": (
        ("recon render latest", "a film around the scene"),
        ("recon render latest --path test --what rgb,depth", "the held-out views, with depth"),
        ("recon render lego --frames 60 --size 400x400 --fps 24", "small and short"),
        ("recon render cameraman --size 2048x2048", "a learned picture, at any size"),
        ("recon render cameraman --what gradient,laplacian", "its field's derivatives, beside the truth's"),
        ("recon render speech --rate 16000", "a learned sound, at another rate"),
    ),
    "export": (
        ("recon export latest --resolution 512 --format glb", "a finer mesh, for other programs"),
        ("recon export latest --keep largest --colour error", "of a shape: without stray parts, coloured by error"),
        ("recon export lego --what points --out lego.ply", "of a scene: a cloud of points"),
    ),
    "view": (
        ("recon view latest --follow", "a run in the browser, while it trains"),
        ("recon view my.ply --up z", "a mesh or a point cloud; a scene's folder as well"),
        ("recon view latest --save page.html", "a page that opens without a server"),
    ),
    "report": (
        ("recon report latest", "the page of a run once more"),
        ("recon report armadillo dragon --out both.html", "two runs side by side"),
    ),
    "runs": (
        ("recon runs", "all of them, newest first"),
        ("recon runs --task nerf --data lego --json", "some of them, for a program"),
    ),
    "runs prune": (
        ("recon runs prune --keep best", "shows what would go, how large it is, and asks"),
        ("recon runs prune --keep best --yes", "without asking"),
    ),
    "bench": (
        ("recon bench", "all four, in eight minutes"),
        ("recon bench kernels --seconds 60 --threads 2", "one of them, in a minute"),
    ),
    "compare": (
        ("recon compare --task sdf --fields siren loe hash-grid --budget params", "equal parameters"),
        ("recon compare --scene lego --fields loe pe-mlp --budget seconds --seconds 60", "a minute each, on a scene"),
        ("recon compare dragon latest", "two finished runs"),
    ),
    "fields": (
        ("recon fields", "what --field takes"),
        ("recon fields --papers --json", "the papers' own, counted"),
    ),
    "data": (
        ("recon data list", "what can be had, and what is here"),
        ("recon data get lego", "shows size and terms, asks, fetches"),
    ),
    "data list": (
        ("recon data list", "what can be had, and what is here"),
        ("recon data list --kind shape --here", "shapes that can be used at once"),
    ),
    "data where": (
        ("recon data where", "which folders are searched"),
        ("recon data where lego", "the folder that a name means"),
    ),
    "data get": (
        ("recon data get lego", "shows size and terms, asks, fetches"),
        ("recon data get asian dragon --yes", "without asking"),
    ),
    "data check": (
        ("recon data check path/to/folder", "cameras, box, coverage, and a picture of them"),
        ("recon data check figurines --downscale 2 --json", "for a program"),
    ),
    "data make": (("recon data make --mesh my.glb --views 100 --size 400x400", "photographs a mesh into a scene"),),
    "doctor": (
        ("recon doctor", "what works here, what does not, and what to do"),
        ("recon doctor --json", "for a program, or a bug report"),
    ),
    "completion": (
        ("recon completion bash > ~/.local/share/bash-completion/completions/recon", "bash"),
        ("recon completion zsh > ~/.zsh/_recon && echo 'source ~/.zsh/_recon' >> ~/.zshrc", "zsh"),
        ("recon completion fish > ~/.config/fish/completions/recon.fish", "fish"),
    ),
}
"""Of each command, or command and action: what to type, and what it does."""


def examples_block(path: str) -> str:
    """The end of a help page; nothing for a command without examples."""
    lines = [f"  {line}\n      {what}" for line, what in EXAMPLES.get(path, ())]
    return "\n".join(["\nexamples:", *lines]) if lines else ""
