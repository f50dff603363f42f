namespace GradientAtoms.Server;

/// <summary>The server does not start, or does not take a request: GA5030 to GA5049, see <c>docs/errors/server.md</c>.</summary>
/// <param name="code">Such as <c>GA5030</c>.</param>
/// <param name="location">The option or field that the error is about.</param>
/// <param name="problem">What is wrong.</param>
/// <param name="remedy">What to do about it.</param>
/// <param name="status">The HTTP status that tells a client.</param>
/// <param name="innerException">The cause, where there is one.</param>
public sealed class ServerException(string code, string location, string problem, string remedy, int status = 500, Exception? innerException = null)
    : GradientAtomsException(code, location, problem, remedy, innerException)
{
    /// <summary>The HTTP status that tells a client.</summary>
    public int Status { get; } = status;

    internal static ServerException NotJson(string problem, Exception? cause = null, int status = 400) => new("GA5030", "body", problem, "Send one JSON object.", status, cause);

    internal static ServerException Field(string name, string problem) => new("GA5031", name, problem, "Change the field.", 400);

    internal static ServerException Unsupported(string name, string problem = "is not supported: it would change the answer") =>
        new("GA5032", name, problem, "Leave it out.", 400);

    internal static ServerException TooLarge(long most) => new("GA5033", "body", $"has more than {most} bytes", "Send less.", 413);

    internal static ServerException NoToken() => new("GA5034", "Authorization", "has no token, or not the one of this server", "Send the header Authorization: Bearer TOKEN.", 401);

    internal static ServerException NotFound(string method, string path) =>
        new("GA5035", $"{method} {path}", "is not served here", "Ask GET /v1/models, POST /v1/chat/completions, POST /v1/completions or GET /health.", 404);

    internal static ServerException ForeignHost(string host) =>
        new("GA5036", "Host", $"is {host}, which is not how this server is reached", "Ask for localhost; for another name start the server with a token.", 403);

    internal static ServerException NotJsonType() => new("GA5037", "Content-Type", "is not application/json", "Send the header Content-Type: application/json.", 415);

    internal static ServerException Unexpected(Exception cause) =>
        new("GA5040", "server", $"failed unexpectedly ({cause.GetType().Name}): a fault of gatoms, not of the request", "Please report it.", 500, cause);

    internal static ServerException Open(string host) =>
        new("GA5038", $"--host {host}", "is reached from other machines, and there is no token", "Give --token, or set GATOMS_TOKEN; or serve on 127.0.0.1.");

    internal static ServerException Taken(string address, Exception cause) =>
        new("GA5039", address, "cannot be listened on: it is taken, or not this machine's", "Choose another --port (0 takes a free one) or --host.", 500, cause);
}
