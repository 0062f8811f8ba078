/** The rules of Paddock as pure code, without input or output. */
export * from "./admission.ts";
export * from "./cpu-list.ts";
export * from "./demand.ts";
export * from "./errors.ts";
export * from "./host-limits.ts";
export * from "./ids.ts";
export * from "./placement.ts";
export * from "./signals.ts";
export * from "./state-machine.ts";
export * from "./update-plan.ts";
export * from "./vm-size.ts";
