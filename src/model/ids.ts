import { z } from "zod";
import { ID_PATTERN, type Brand } from "../lib/ids.ts";

export type ServiceId = Brand<"service">;
export type TaskId = Brand<"task">;
export type NodeId = Brand<"node">;
export type TokenId = Brand<"token">;
export type ItemId = Brand<"item">;

const idSchema = z.string().regex(ID_PATTERN, "is not an id of orchd");

export const serviceIdSchema = idSchema.transform((id) => id as ServiceId);
export const taskIdSchema = idSchema.transform((id) => id as TaskId);
export const nodeIdSchema = idSchema.transform((id) => id as NodeId);
export const tokenIdSchema = idSchema.transform((id) => id as TokenId);
export const itemIdSchema = idSchema.transform((id) => id as ItemId);
