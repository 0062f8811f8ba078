/** The network of a fake guest, in memory. */
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { agentpb } from "@paddock/protocol";
import { guestRefusal } from "./guest-refusal.ts";

export type NetworkCall = "listInterfaces" | "listRoutes" | "updateRoutes" | "removeInterface";

export class FakeGuestNetwork {
  /** By the MAC address of the card. */
  readonly interfaces = new Map<string, agentpb.Interface>();
  routes: agentpb.Route[] = [];

  /** Names of the interfaces that are up. */
  get names(): string[] {
    return [...this.interfaces.values()].map(({ name }) => name);
  }

  configure({ interfaces, routes }: agentpb.NetworkConfig): void {
    for (const each of interfaces) this.interfaces.set(each.permanentMac, each);
    this.routes = routes;
  }

  /** Like a new boot. */
  clear(): void {
    this.interfaces.clear();
    this.routes = [];
  }

  serve(router: ConnectRouter, onCall: (name: NetworkCall) => Promise<void>): void {
    router.service(agentpb.NetworkService, {
      listInterfaces: async () => {
        await onCall("listInterfaces");
        return { interfaces: [...this.interfaces.values()].map((each) => ({ interface: each })) };
      },
      listRoutes: async () => {
        await onCall("listRoutes");
        return { routes: this.routes };
      },
      updateRoutes: async ({ routes }) => {
        await onCall("updateRoutes");
        this.routes = routes;
        return { routes };
      },
      removeInterface: async ({ permanentMac }) => {
        await onCall("removeInterface");
        const removed = this.interfaces.get(permanentMac);
        if (removed === undefined)
          throw guestRefusal(agentpb.FailureReason.INTERFACE_NOT_FOUND, `no interface ${permanentMac}`);
        this.interfaces.delete(permanentMac);
        this.routes = this.routes.filter((route) => route.interface !== removed.name);
        return create(agentpb.RemoveInterfaceResponseSchema);
      },
    });
  }
}
