/**
 * Deals out the shards that are to be made among all processes that work on a set: each is claimed before it is begun,
 * and looked at again under the claim, since another may have made it meanwhile. Where others hold all that is left,
 * it is waited for, so that nothing is missing in the end even if they die.
 */
import { setTimeout } from "node:timers/promises";
import type { Claim, ClaimOwner, Claims } from "../shards/claims.ts";

/** Time between two looks at shards that others make. */
const LOOK_MS = 250;

/** What is to be done for a shard. */
export interface ShardWork {
  /** Rows of the set that are decoded although the shard is there; undefined where it is made from nothing. */
  readonly redo?: ReadonlySet<number>;
}

/** A shard to make. */
export interface ClaimedShard extends ShardWork {
  readonly shard: number;
  /** Held until the shard is made; the receiver disposes of it. */
  readonly claim: Claim;
}

/** What {@linkcode claimShards} works with. */
export interface ClaimShardsOptions {
  readonly shards: Iterable<number>;
  readonly claims: Claims;
  readonly signal: AbortSignal;
  /** What a shard needs; undefined if it is done. */
  readonly workOn: (shard: number) => ShardWork | undefined;
  /** Brings what an interrupted writer left of a shard into order, under its claim. */
  readonly repair: (shard: number) => Promise<void>;
  /** Told of a shard that needs nothing any more. */
  readonly onDone: (shard: number) => void;
  /** Told, once, that others hold all shards that are left. */
  readonly onWait?: ((shards: number, owner: ClaimOwner | undefined) => void) | undefined;
}

/** Name of a shard's claim. */
export function claimName(shard: number): string {
  return String(shard).padStart(5, "0");
}

/**
 * Yields shards to make, each under its claim.
 *
 * @throws The signal's reason.
 */
export async function* claimShards(options: ClaimShardsOptions): AsyncGenerator<ClaimedShard> {
  const { claims, signal, workOn, repair, onDone } = options;
  const left = new Set(options.shards);
  let toldToWait = false;
  while (left.size > 0) {
    let claimed = false;
    for (const shard of [...left]) {
      signal.throwIfAborted();
      if (workOn(shard) === undefined) {
        left.delete(shard);
        onDone(shard);
        continue;
      }
      const claim = claims.take(claimName(shard));
      if (claim === undefined) continue;
      left.delete(shard);
      const work = await underClaim(claim, async () => {
        await repair(shard);
        return workOn(shard);
      });
      if (work === undefined) {
        claim[Symbol.dispose]();
        onDone(shard);
        continue;
      }
      claimed = true;
      yield { ...work, shard, claim };
    }
    if (claimed || left.size === 0) continue;
    if (!toldToWait) options.onWait?.(left.size, claims.owner(claimName([...left][0]!)));
    toldToWait = true;
    await setTimeout(LOOK_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Gives the claim up if the work under it fails. */
async function underClaim<T>(claim: Claim, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    claim[Symbol.dispose]();
    throw error;
  }
}
