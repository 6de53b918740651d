"""A training step on images in PyTorch: images a second of MAE, of AMD with the teacher in the step or its features cached,
and of fine-tuning. The last line is JSON: value, unit and what was measured.

    python torch_image_amd_step.py --mode mae|amd|finetune [--cached] [--compile] [--dtype f32|bf16] [--batch 16]

The networks are those of MAE (arXiv 2111.06377) and AMD (arXiv 2311.03149) at 224 x 224 with patches of 16: a class token
that no mask hides, sine positions over column and row, pre-norm blocks, exact GELU, per-patch normalised pixels as target.
The MAE student sees 25 % of the patches, the AMD student 10 % and its teacher 25 %; the aligned blocks are the middle and
the last one, each with a projection and a generator of two blocks at the teacher's width. Images stay on the device as
uint8; masks are drawn beforehand. Scaled dot product attention, fused AdamW where there is one.
"""
import argparse
import json
import os
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

PATCH, EDGE, VALUES = 16, 14, 16 * 16 * 3
TOKENS = EDGE * EDGE
# Width, depth, heads of the encoder and of the decoder.
SIZES = {"S": (384, 12, 6, 192, 4, 3), "B": (768, 12, 12, 384, 4, 6), "L": (1024, 24, 16, 512, 4, 8)}
SEEN = {"mae": 49, "amd": 20}
TEACHER_SEEN = 49
CLASSES = 1000


def positions(width):
    """Sines and cosines of the column, then of the row; a row of zeros for the class token in front. [1, 1 + 196, width]"""
    omega = 1.0 / 10000 ** (torch.arange(width // 4, dtype=torch.float64) / (width / 4))
    axis = torch.arange(EDGE, dtype=torch.float64)[:, None] * omega
    code = torch.cat([axis.sin(), axis.cos()], 1)
    grid = torch.cat([code[None].expand(EDGE, -1, -1), code[:, None].expand(-1, EDGE, -1)], 2).reshape(TOKENS, width)
    return torch.cat([torch.zeros(1, width, dtype=torch.float64), grid]).float()[None]


class Block(nn.Module):
    def __init__(self, width, heads, drop_path=0.0):
        super().__init__()
        self.heads, self.drop_path = heads, drop_path
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def drop(self, x):
        if self.drop_path == 0 or not self.training:
            return x
        keep = 1 - self.drop_path
        return x * torch.empty(x.shape[0], 1, 1, device=x.device, dtype=x.dtype).bernoulli_(keep).div_(keep)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.drop(self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, d)))
        return x + self.drop(self.fc2(F.gelu(self.fc1(self.norm2(x)))))


class Encoder(nn.Module):
    """Returns the outputs of the wanted blocks, the class token included."""

    def __init__(self, width, depth, heads, drop_path=0.0):
        super().__init__()
        self.patch = nn.Linear(VALUES, width)  # the convolution of MAE, over the patches that are seen alone
        self.class_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads, drop_path * i / (depth - 1)) for i in range(depth))
        self.register_buffer("code", positions(width), persistent=False)

    def forward(self, patches, index, wanted):
        x = self.patch(patches)
        x = x + (self.code[:, 1:] if index is None else self.code[0, 1:][index]).to(x.dtype)
        x = torch.cat([self.class_token.to(x.dtype).expand(x.shape[0], -1, -1), x], 1)
        kept = []
        for i, block in enumerate(self.blocks, 1):
            x = block(x)
            if i in wanted:
                kept.append(x)
        return kept


class Generator(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(2))
        self.register_buffer("code", positions(width), persistent=False)

    def forward(self, known, seen, more):
        code = self.code[0, 1:].to(known.dtype)
        x = torch.cat([known + code[seen], self.mask_token.to(known.dtype) + code[more]], 1)
        for block in self.blocks:
            x = block(x)
        return x[:, known.shape[1]:]


class Student(nn.Module):
    """MAE; with a teacher's width also AMD's projections and generators."""

    def __init__(self, size, teacher=None):
        super().__init__()
        width, depth, heads, narrow, narrow_depth, narrow_heads = SIZES[size]
        self.layers = [depth // 2, depth]
        self.encoder, self.norm = Encoder(width, depth, heads), nn.LayerNorm(width, eps=1e-6)
        self.to_decoder = nn.Linear(width, narrow)
        self.mask_token = nn.Parameter(torch.randn(1, 1, narrow) * 0.02)
        self.decoder = nn.ModuleList(Block(narrow, narrow_heads) for _ in range(narrow_depth))
        self.decoder_norm, self.head = nn.LayerNorm(narrow, eps=1e-6), nn.Linear(narrow, VALUES)
        self.register_buffer("code", positions(narrow), persistent=False)
        levels = self.layers if teacher else []
        self.projections = nn.ModuleList(nn.Linear(width, SIZES[teacher][0], bias=False) for _ in levels)
        self.generators = nn.ModuleList(Generator(SIZES[teacher][0], SIZES[teacher][2]) for _ in levels)

    def forward(self, patches, seen, hidden, more):
        kept = self.encoder(patches, seen, self.layers)
        x = self.to_decoder(self.norm(kept[-1]))
        code = self.code.to(x.dtype)
        masked = self.mask_token.to(x.dtype) + code[0, 1:][hidden]
        first = x[:, :1] + code[:, :1]
        x = torch.cat([first, x[:, 1:] + code[0, 1:][seen], masked], 1)
        for block in self.decoder:
            x = block(x)
        pixels = self.head(self.decoder_norm(x[:, -hidden.shape[1]:]))
        known = [projection(level[:, 1:]) for projection, level in zip(self.projections, kept)]
        made = [generator(level, seen, more) for generator, level in zip(self.generators, known)]
        return pixels, known, made


class Classifier(nn.Module):
    def __init__(self, size):
        super().__init__()
        width, depth, heads = SIZES[size][:3]
        self.depth = depth
        self.encoder = Encoder(width, depth, heads, drop_path=0.1)
        self.norm, self.head = nn.LayerNorm(width, eps=1e-6), nn.Linear(width, CLASSES)

    def forward(self, patches):
        return self.head(self.norm(self.encoder(patches, None, [self.depth])[0][:, 1:].mean(1)))


def patches_of(images):
    """[B, 3, 224, 224] -> [B, 196, 768], values in the order (row, column, channel)."""
    x = images.reshape(-1, 3, EDGE, PATCH, EDGE, PATCH).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(images.shape[0], TOKENS, VALUES)


def normalised(patches):
    mean = torch.tensor([0.485, 0.456, 0.406], device=patches.device).repeat(PATCH * PATCH) * 255
    deviation = torch.tensor([0.229, 0.224, 0.225], device=patches.device).repeat(PATCH * PATCH) * 255
    return (patches.float() - mean) / deviation


def chosen(x, index):
    return torch.gather(x, 1, index[..., None].expand(-1, -1, x.shape[-1]))


def targets_of(patches):
    x = normalised(patches)
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-6).sqrt()


def optimizer_of(model, beta2, layer_decay=None):
    """No decay of vectors and tokens; in fine-tuning a learning rate that falls from layer to layer."""
    groups = {}
    for name, parameter in model.named_parameters():
        part = name.split(".")
        layer = int(part[2]) + 1 if name.startswith("encoder.blocks.") else 0 if part[0] == "encoder" else 13
        scale = 1.0 if layer_decay is None else layer_decay ** (13 - layer)
        decay = 0.0 if parameter.ndim <= 1 or name.endswith("token") else 0.05
        groups.setdefault((scale, decay), []).append(parameter)
    listed = [{"params": p, "weight_decay": decay, "lr": 1e-5 * scale} for (scale, decay), p in groups.items()]
    try:
        return torch.optim.AdamW(listed, betas=(0.9, beta2), fused=True)
    except (RuntimeError, ValueError, TypeError):
        return torch.optim.AdamW(listed, betas=(0.9, beta2), foreach=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["mae", "amd", "finetune"], required=True)
    parser.add_argument("--student", choices=list(SIZES), default="S")
    parser.add_argument("--teacher", choices=list(SIZES), default="B")
    parser.add_argument("--cached", action="store_true", help="teacher features from memory, float16")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if args.device.startswith("cuda"):
        torch.set_float32_matmul_precision("high")
    device, batch, is_amd = args.device, args.batch, args.mode == "amd"
    images = torch.randint(0, 256, (batch, 3, 224, 224), dtype=torch.uint8).to(device)
    if args.mode == "finetune":
        model = Classifier(args.student).to(device).train()
        soft = torch.full((batch, CLASSES), 0.1 / CLASSES, device=device)
        soft.scatter_(1, torch.randint(0, CLASSES, (batch, 1)).to(device), 0.9 + 0.1 / CLASSES)
    else:
        model = Student(args.student, args.teacher if is_amd else None).to(device).train()
    optimizer = optimizer_of(model, 0.999 if args.mode == "finetune" else 0.95, 0.7 if args.mode == "finetune" else None)
    parameters = list(model.parameters())

    seen_count = SEEN.get(args.mode, TOKENS)
    order = torch.rand(batch, TOKENS).argsort(1).to(device)
    seen = order[:, :seen_count].sort(1).values
    more = order[:, seen_count:TEACHER_SEEN].sort(1).values
    hidden = order[:, seen_count:].sort(1).values
    width, depth, heads = SIZES[args.teacher][:3]
    teacher_layers = [depth // 2, depth]
    teacher_type = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    if is_amd and args.cached:
        cached = [torch.randn(batch, TEACHER_SEEN, width).half() for _ in teacher_layers]
    elif is_amd:
        teacher = Encoder(width, depth, heads).to(device, teacher_type).eval().requires_grad_(False)

    def teach(images):
        index = torch.cat([seen, more], 1)
        patches = normalised(chosen(patches_of(images), index)).to(teacher_type)
        return [level[:, 1:] for level in teacher(patches, index, teacher_layers)]

    def loss_of(images, *features):
        patches = patches_of(images)
        if args.mode == "finetune":
            return -(soft * F.log_softmax(model(normalised(patches)).float(), -1)).sum(-1).mean()
        pixels, known, made = model(normalised(chosen(patches, seen)), seen, hidden, more)
        loss = F.mse_loss(pixels.float(), targets_of(chosen(patches, hidden)))
        for feature, level, generated in zip(features, known, made):
            feature = feature.float()
            loss = loss + F.mse_loss(level.float(), feature[:, :seen_count]) / len(features)
            loss = loss + F.mse_loss(generated.float(), feature[:, seen_count:]) / len(features)
        return loss

    compiled = (lambda f: torch.compile(f, dynamic=False)) if args.compile else (lambda f: f)
    run_teacher, run_loss = compiled(teach), compiled(loss_of)

    def step():
        features = []
        if is_amd and args.cached:
            features = [feature.to(device) for feature in cached]
        elif is_amd:
            with torch.no_grad():
                features = run_teacher(images)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=args.dtype == "bf16"):
            loss = run_loss(images, *features)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if is_amd:
            torch.nn.utils.clip_grad_norm_(parameters, 0.02, foreach=True)
        optimizer.step()
        return loss.detach()

    seconds = []
    for i in range(args.warmup + args.steps):
        began = time.perf_counter()
        loss = float(step())  # waits for the device
        if i >= args.warmup:
            seconds.append(time.perf_counter() - began)
    print(json.dumps({
        "name": f"torch_image_{args.mode}_{args.student}",
        "unit": "images/s",
        "value": round(batch / statistics.median(seconds), 4),
        "detail": {
            "torch": torch.__version__, "device": device, "threads": torch.get_num_threads(), "dtype": args.dtype,
            "compile": args.compile, "batch": batch, "seen": seen_count, "loss": round(loss, 5),
            "parameters": sum(p.numel() for p in parameters), "seconds": [round(s, 4) for s in seconds],
        },
    }), flush=True)


main()
