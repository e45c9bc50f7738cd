CREATE TABLE `agent` (
	`id` integer PRIMARY KEY NOT NULL,
	`node_id` text,
	`generation` integer
);
--> statement-breakpoint
CREATE TABLE `assignment` (
	`task_id` text PRIMARY KEY NOT NULL,
	`body` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `status` (
	`task_id` text PRIMARY KEY NOT NULL,
	`body` text NOT NULL
);
