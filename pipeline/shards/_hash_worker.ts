/** A thread that hashes one file, so that hundreds of megabytes hold up nothing else. */
import { type HashAnswer, type HashJob, sha256OfReads } from "./file_hash.ts";

interface WorkerScope {
  onmessage: (event: MessageEvent<HashJob>) => void;
  postMessage(answer: HashAnswer): void;
}

const scope = self as unknown as WorkerScope;

scope.onmessage = ({ data: { path, head } }) => {
  try {
    scope.postMessage({ sha256: sha256OfReads(path, head) });
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    scope.postMessage({ message, code });
  }
};
