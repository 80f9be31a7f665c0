"""What a person types. Each command's module has `main(name, argv) -> exit code`; nothing here loads torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """Where a command lives and what it is for."""

    module: str
    summary: str
    example: str


COMMANDS: dict[str, Command] = {
    "sdf": Command("shape", "learn a signed distance field from a mesh or point cloud", "recon sdf --shape idol"),
    "occ": Command("shape", "learn an occupancy field from a mesh", "recon occ --shape path/to/mesh.ply --field asmr"),
    "nerf": Command(
        "nerf", "learn a radiance field from posed pictures", "recon nerf --scene path/to/folder --field loe"
    ),
    "fit": Command("fit", "learn a picture, a sound or a film", "recon fit --signal photo.png --field asmr"),
    "eval": Command("evaluate", "scores of a run, or of any two meshes", "recon eval mesh PREDICTED.ply TRUE.ply"),
    "render": Command(
        "render", "films of a scene run, or a signal at any size", "recon render latest --path orbit --what rgb,depth"
    ),
    "export": Command("export", "the mesh of a run (or points, or cameras)", "recon export latest --format glb"),
    "report": Command("report", "one page about a run, or about several side by side", "recon report latest"),
    "view": Command("view", "look at a run, a mesh or a scene in the browser", "recon view latest --follow"),
    "bench": Command("bench", "measure how fast the networks are, against the aims", "recon bench kernels"),
    "runs": Command("runs", "the runs under renders/, and room for others", "recon runs --task sdf"),
    "compare": Command(
        "compare",
        "fields on the same data within one budget, or finished runs",
        "recon compare --task sdf --fields siren loe hash-grid --budget params",
    ),
    "tables": Command(
        "tables", "a table of a paper run again, its numbers beside ours", "recon tables asmr-2 --steps-scale 0.05"
    ),
    "fields": Command("fields", "the networks, where they come from and what they cost", "recon fields --papers"),
    "data": Command("data", "fetch sets, check scenes, make scenes from meshes", "recon data check path/to/folder"),
    "doctor": Command("doctor", "what works on this machine, what does not, and what to do", "recon doctor"),
    "completion": Command("completion", "a script that completes all of this in your shell", "recon completion bash"),
}
