"""What works on this machine and what does not: libraries tried in processes of their own, disk, memory, folders."""
