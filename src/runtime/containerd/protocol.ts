/**
 * The part of containerd's interface that orchd uses, by the field numbers of its api/ folder
 * (1.6 and 2.x have the same); what is not named here is skipped when it comes. Names of messages
 * are our own, because they do not travel; those of `methods.ts` do.
 */
export const PROTOCOL = `
syntax = "proto3";

message Empty {}
message Any { string type_url = 1; bytes value = 2; }
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message FieldMask { repeated string paths = 1; }
message Descriptor {
  string media_type = 1; string digest = 2; int64 size = 3; map<string, string> annotations = 5;
}
message Mount {
  string type = 1; string source = 2; string target = 3; repeated string options = 4;
}

message VersionReply { string version = 1; string revision = 2; }

message Plugin {
  string type = 1; string id = 2; map<string, string> exports = 5; Failure init_err = 7;
}
message Failure { int32 code = 1; string message = 2; }
message PluginsRequest { repeated string filters = 1; }
message PluginsReply { repeated Plugin plugins = 1; }

message Namespace { string name = 1; map<string, string> labels = 2; }
message NamespaceRequest { Namespace namespace = 1; }

message Lease { string id = 1; map<string, string> labels = 3; }
message LeaseRequest { string id = 1; map<string, string> labels = 3; }
message LeaseReply { Lease lease = 1; }
message LeaseDeleteRequest { string id = 1; bool sync = 2; }

message ContentInfo { string digest = 1; int64 size = 2; map<string, string> labels = 5; }
message DigestRequest { string digest = 1; }
message ContentInfoReply { ContentInfo info = 1; }
message ContentUpdateRequest { ContentInfo info = 1; FieldMask update_mask = 2; }
message ReadRequest { string digest = 1; int64 offset = 2; int64 size = 3; }
message ReadReply { int64 offset = 1; bytes data = 2; }
message RefRequest { string ref = 1; }
message WriteRequest {
  int32 action = 1; string ref = 2; int64 total = 3; string expected = 4; int64 offset = 5;
  bytes data = 6; map<string, string> labels = 7;
}
message WriteReply { int32 action = 1; int64 offset = 4; int64 total = 5; string digest = 6; }

message Image { string name = 1; map<string, string> labels = 2; Descriptor target = 3; }
message ImageRequest { Image image = 1; FieldMask update_mask = 2; }
message ImageReply { Image image = 1; }
message NameRequest { string name = 1; }
message ImageDeleteRequest { string name = 1; bool sync = 2; }
message FiltersRequest { repeated string filters = 1; }
message ImagesReply { repeated Image images = 1; }

message SnapshotRequest {
  string snapshotter = 1; string key = 2; string parent = 3; map<string, string> labels = 4;
}
message SnapshotCommitRequest {
  string snapshotter = 1; string name = 2; string key = 3; map<string, string> labels = 4;
}
message SnapshotInfo { string name = 1; string parent = 2; map<string, string> labels = 6; }
message SnapshotInfoReply { SnapshotInfo info = 1; }
message SnapshotsRequest { string snapshotter = 1; repeated string filters = 2; }
message SnapshotsReply { repeated SnapshotInfo info = 1; }
message UsageReply { int64 size = 1; int64 inodes = 2; }
message MountsReply { repeated Mount mounts = 1; }

message ApplyRequest { Descriptor diff = 1; repeated Mount mounts = 2; }
message ApplyReply { Descriptor applied = 1; }

message ContainerRuntime { string name = 1; Any options = 2; }
message Container {
  string id = 1; map<string, string> labels = 2; string image = 3; ContainerRuntime runtime = 4;
  Any spec = 5; string snapshotter = 6; string snapshot_key = 7;
}
message IdRequest { string id = 1; }
message ContainerRequest { Container container = 1; }
message ContainerReply { Container container = 1; }
message ContainersReply { repeated Container containers = 1; }

message Process {
  string container_id = 1; string id = 2; uint32 pid = 3; int32 status = 4;
  uint32 exit_status = 9; Timestamp exited_at = 10;
}
message TaskCreateRequest {
  string container_id = 1; repeated Mount rootfs = 3; string stdin = 4; string stdout = 5;
  string stderr = 6; bool terminal = 7; Any options = 9;
}
message PidReply { string container_id = 1; uint32 pid = 2; }
message ProcessRequest { string container_id = 1; string exec_id = 2; }
message StartReply { uint32 pid = 1; }
message ExitReply { uint32 exit_status = 3; Timestamp exited_at = 4; }
message WaitReply { uint32 exit_status = 1; Timestamp exited_at = 2; }
message ProcessReply { Process process = 1; }
message TasksRequest { string filter = 1; }
message TasksReply { repeated Process tasks = 1; }
message KillRequest {
  string container_id = 1; string exec_id = 2; uint32 signal = 3; bool all = 4;
}
message ExecRequest {
  string container_id = 1; string stdin = 2; string stdout = 3; string stderr = 4;
  bool terminal = 5; Any spec = 6; string exec_id = 7;
}
message ResizeRequest {
  string container_id = 1; string exec_id = 2; uint32 width = 3; uint32 height = 4;
}
message UpdateRequest { string container_id = 1; Any resources = 2; }
message CloseIoRequest { string container_id = 1; string exec_id = 2; bool stdin = 3; }

message PublishRequest { string topic = 1; Any event = 2; }
message Envelope { string namespace = 2; string topic = 3; Any event = 4; }
message TaskEvent { string container_id = 1; string id = 2; }
message ContainerEvent { string id = 1; }
`;
