CREATE TABLE `identity` (
	`id` integer PRIMARY KEY NOT NULL,
	`key` text NOT NULL,
	`body` text
);
