/**
 * An object whose methods never settle after its owner's death: a killed process does nothing further.
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
