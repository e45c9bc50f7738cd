/** Something that could stand where a person is typing. */
export interface Candidate {
  value: string;
  description: string;
}

/** Asks the shell itself for the names of files. */
export const FILES: Candidate[] = [{ value: ":file", description: "" }];
