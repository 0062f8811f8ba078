import type { Route } from "@paddock/api";

export const routes: Route[] = [];
