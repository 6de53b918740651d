"""Frame shards as frames.npy [clips, T, H, W, 3] uint8 and labels.npy [clips], the first view of each clip: what training
programs in PyTorch read. Several sets follow one another, as the training clips and the validation clips of the demo.

    python shards_to_frames.py OUT runs/cache/frames/TRAIN runs/cache/frames/VAL
"""
import glob
import json
import sys

import h5py
import numpy as np

out, *folders = sys.argv[1:]
frames, labels = [], []
for folder in folders:
    for path in sorted(glob.glob(f"{folder}/shard-*.h5")):
        with h5py.File(path) as shard:
            config = json.loads(bytes(shard["meta/config"][:]))
            first = (shard["index/view"][:] == 0) & (shard["index/status"][:] == 0)
            (t, h, w), (dt, dh, dw, colours) = config["grid"], config["cube"]
            cubes = shard["cubes"][:].reshape(-1, t, h, w, dt, dh, dw, colours)[first]
            frames.append(cubes.transpose(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, t * dt, h * dh, w * dw, colours))
            labels.append(shard["index/label"][:][first])
np.save(f"{out}/frames.npy", np.concatenate(frames))
np.save(f"{out}/labels.npy", np.concatenate(labels).astype(np.int64))
