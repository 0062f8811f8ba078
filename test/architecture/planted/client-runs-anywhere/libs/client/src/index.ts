export { stdout } from "node:process";
