using System.Net;

namespace GradientAtoms.Server;

/// <summary>Where a server listens and what it takes.</summary>
public sealed record ServerOptions
{
    /// <summary>The address, or <c>localhost</c>; other machines reach it only where there is a <see cref="Token"/>.</summary>
    public string Host { get; init; } = "127.0.0.1";

    /// <summary>The port; 0 takes a free one.</summary>
    public int Port { get; init; } = 8080;

    /// <summary>What requests have to send as <c>Authorization: Bearer</c>; null: nothing.</summary>
    public string? Token { get; init; }

    /// <summary>The largest request, in bytes.</summary>
    public long MaxBodyBytes { get; init; } = 4 << 20;

    /// <summary>Prompts of one request at most.</summary>
    public int MaxPrompts { get; init; } = 16;

    /// <summary>How long answers under way may go on when the server stops.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Checks where the server would listen.</summary>
    /// <returns>The place.</returns>
    /// <exception cref="ServerException">GA5038: other machines would reach it without a token. GA5039: the host is no address.</exception>
    public IPEndPoint Check()
    {
        var address = Host == "localhost" ? IPAddress.Loopback
            : IPAddress.TryParse(Host, out var own) ? own
            : throw ServerException.Taken($"--host {Host}", new FormatException("no address"));
        return IPAddress.IsLoopback(address) || !string.IsNullOrEmpty(Token)
            ? Port is >= 0 and <= 65535 ? new(address, Port) : throw ServerException.Taken(FormattableString.Invariant($"--port {Port}"), new FormatException("no port"))
            : throw ServerException.Open(Host);
    }
}
