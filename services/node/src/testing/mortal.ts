/**
 * An object whose methods never settle once its owner is dead: what a killed process would have done next, it does not do.
 */
export function mortal<T extends object>(target: T, life: { readonly alive: boolean }): T {
  return new Proxy(target, {
    get(object, key) {
      const value: unknown = Reflect.get(object, key, object);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) =>
        life.alive ? Reflect.apply(value, object, args) : new Promise(() => undefined);
    },
  });
}
