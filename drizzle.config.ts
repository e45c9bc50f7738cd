import { defineConfig } from "drizzle-kit";

/** For `drizzle-kit generate`: the server's tables. Those of the agent: src/store/README.md. */
export default defineConfig({
  dialect: "sqlite",
  schema: "./src/store/sqlite/schema.ts",
  out: "./src/store/migrations/server",
});
