"""Which pods this node should run, and what each of them sees of itself.

API server ──▶ source_api ──┐
                            ├─▶ merge ──▶ events for the sync loop
directory  ──▶ source_files ┘
manager.py remembers them; admission.py refuses what cannot run here; environment.py makes env and hosts file.
"""
