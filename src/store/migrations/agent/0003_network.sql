CREATE TABLE `network` (
	`key` text PRIMARY KEY NOT NULL,
	`body` text NOT NULL
);
