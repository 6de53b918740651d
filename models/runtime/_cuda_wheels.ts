/**
 * The wheels of XLA's CUDA plugin and of the nvidia libraries that it opens, pinned: those for CUDA 13, Linux, x86-64. The
 * plugin is the JAX project's, Apache-2.0; the libraries are under NVIDIA's own licences.
 */

/** Name, version, bytes and SHA-256 of a wheel of the Python package index. */
export type CudaWheel = readonly [name: string, version: string, bytes: number, sha256: string];

// deno-fmt-ignore
export const CUDA_WHEELS: readonly CudaWheel[] = [
  ["jax-cuda13-pjrt", "0.10.2", 124_395_292, "a97e9cabe0e21d8dbcc70bd909ca1c34cd546d3ce2d94b4cd907a8d4f6179f6a"],
  ["nvidia-cublas", "13.6.0.2", 410_473_152, "b82c80c886cea6da6e149a5c3bdba274f12b7e4ec4b00a050b916b0446fb4153"],
  ["nvidia-cuda-cupti", "13.3.75", 12_044_533, "a969cc446c44db612e417bd0af722cfad9009c027dabd4ed255262c0e9a9a3d2"],
  ["nvidia-cuda-nvcc", "13.3.73", 44_942_138, "f483af83166c4fa356a21606076d553b0b4ceaebbd9912e537545080db695bdd"],
  ["nvidia-cuda-nvrtc", "13.3.33", 51_110_910, "82530788b8c6164a54d3fd9ae8bcca8893d397c4aeb998861982a03bbe41e204"],
  ["nvidia-cuda-runtime", "13.3.29", 2_339_786, "e04420616e72f563167a7733272992d7e6df6dc5cb54b2f94f9f1520ea9e30c1"],
  ["nvidia-cudnn-cu13", "9.24.0.43", 553_099_438, "71f181cd810e90f9b6023b01186fe82d13d65f0ec098581ee201d39fad769e4b"],
  ["nvidia-cufft", "12.3.0.29", 184_730_406, "edb25c0626bd202ee5acc035b5dd361a3b89ed3b75a81a52df72c89150cb57c2"],
  ["nvidia-cusolver", "12.2.6.9", 244_667_799, "e32cb40c8a4d3df475b556caaf6af5808ef064df7e291a049528a0d28017b674"],
  ["nvidia-cusparse", "12.8.2.51", 154_538_196, "65cbcc4e37a34fca4ee7df2fd57da103593842cda1bbb4a144664ecfe59873a5"],
  ["nvidia-nccl-cu13", "2.30.7", 215_965_170, "cefa7fdb9710efd0f39c5f1be1d61ff6fc9a996c451265bd7fbdcf9455ed4b50"],
  ["nvidia-nvjitlink", "13.3.33", 40_742_423, "26a6de7fb4c8fdaa7703d3dad720d6d427ddfea5c48a528fd97c11733ad830e5"],
  ["nvidia-nvshmem-cu13", "3.7.2", 135_397_797, "b9a4f843c62b5dded8ad33fd6d220e007dcd39f06cee549292f5ba14ce4c235c"],
  ["nvidia-nvvm", "13.3.73", 69_250_424, "0e28e0858a3475e11ac67d35301cd5bf82666a1c0dc4ec4e80ceaf3a5fd1dea8"],
];
