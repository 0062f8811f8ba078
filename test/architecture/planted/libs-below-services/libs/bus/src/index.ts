import type { Route } from "../../../services/api/src/index.ts";

export const routes: Route[] = [];
