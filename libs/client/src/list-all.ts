/** Lists over all pages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { CallOptions } from "@connectrpc/connect";
import type { Image, ListSandboxesRequestSchema, Node, Sandbox, Volume } from "@paddock/protocol";
import type { ApiClient } from "./api-client.ts";

const PAGE_SIZE = 1000;

export type SandboxQuery = Omit<
  MessageInitShape<typeof ListSandboxesRequestSchema>,
  "$typeName" | "$unknown" | "pageSize" | "pageToken"
>;

export type SandboxList = {
  readonly sandboxes: readonly Sandbox[];
  /** Ids of nodes that did not answer: their sandboxes are missing from the list. */
  readonly unreachableNodes: readonly string[];
};

/** All sandboxes, or those that match `query`. Throws `PaddockError`. */
export async function listAllSandboxes(
  client: Pick<ApiClient, "sandboxes">,
  query: SandboxQuery = {},
  options: CallOptions = {},
): Promise<SandboxList> {
  const pages = await allPages((page) => client.sandboxes.listSandboxes({ ...query, ...page }, options));
  return {
    sandboxes: pages.flatMap(({ sandboxes }) => sandboxes),
    unreachableNodes: unreachableIn(pages),
  };
}

export type ImageList = {
  readonly images: readonly Image[];
  /** Ids of nodes that did not answer: images that only they have are missing from the list. */
  readonly unreachableNodes: readonly string[];
};

/** All images. Throws `PaddockError`. */
export async function listAllImages(
  client: Pick<ApiClient, "images">,
  options: CallOptions = {},
): Promise<ImageList> {
  const pages = await allPages((page) => client.images.listImages(page, options));
  return { images: pages.flatMap(({ images }) => images), unreachableNodes: unreachableIn(pages) };
}

export type VolumeList = {
  readonly volumes: readonly Volume[];
  /** Ids of nodes that did not answer: their volumes are missing from the list. */
  readonly unreachableNodes: readonly string[];
};

/** All volumes. Throws `PaddockError`. */
export async function listAllVolumes(
  client: Pick<ApiClient, "volumes">,
  options: CallOptions = {},
): Promise<VolumeList> {
  const pages = await allPages((page) => client.volumes.listVolumes(page, options));
  return { volumes: pages.flatMap(({ volumes }) => volumes), unreachableNodes: unreachableIn(pages) };
}

/** All nodes. Throws `PaddockError`. */
export async function listAllNodes(
  client: Pick<ApiClient, "nodes">,
  options: CallOptions = {},
): Promise<readonly Node[]> {
  const pages = await allPages((page) => client.nodes.listNodes(page, options));
  return pages.flatMap(({ nodes }) => nodes);
}

const unreachableIn = (pages: readonly { readonly unreachableNodes: readonly string[] }[]): string[] => [
  ...new Set(pages.flatMap(({ unreachableNodes }) => unreachableNodes)),
];

async function allPages<P extends { readonly nextPageToken: string }>(
  fetchPage: (page: { readonly pageSize: number; readonly pageToken: string }) => Promise<P>,
): Promise<P[]> {
  const pages: P[] = [];
  for (let pageToken = ""; ; ) {
    const page = await fetchPage({ pageSize: PAGE_SIZE, pageToken });
    pages.push(page);
    pageToken = page.nextPageToken;
    if (pageToken === "") return pages;
  }
}
