CREATE TABLE `content` (
	`id` text PRIMARY KEY NOT NULL,
	`sealed` text NOT NULL
);
