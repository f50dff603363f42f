namespace GradientAtoms.Models.Checkpoints;

/// <summary>A checkpoint (safetensors, GGUF, <c>config.json</c>) that is damaged, incomplete or of a kind that is not known. Codes GA23xx.</summary>
public sealed class CheckpointException(string code, string location, string problem, string remedy, Exception? innerException = null)
    : GradientAtomsException(code, location, problem, remedy, innerException)
{
    internal static CheckpointException Missing(string path, Exception? cause = null) =>
        new("GA2301", path, cause is null or FileNotFoundException or DirectoryNotFoundException ? "there is no such file" : $"cannot be read ({cause.Message})",
            "Check the path and its permissions.", cause);

    internal static CheckpointException Header(string path, string problem, Exception? cause = null) =>
        new("GA2302", path, problem, "The file is truncated or no safetensors file: fetch or write it again.", cause);

    internal static CheckpointException Gguf(string path, string problem) =>
        new("GA2310", path, problem, "The file is truncated or no GGUF file: fetch it again.");
}
