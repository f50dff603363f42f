using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using GradientAtoms.Runs.Answers;
using GradientAtoms.Server.OpenAI;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using BadHttpRequestException = Microsoft.AspNetCore.Http.BadHttpRequestException;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace GradientAtoms.Server;

/// <summary>A web server over an <see cref="AnswerEngine"/> that speaks OpenAI's API. It reads no configuration and writes no log; the engine stays the caller's.</summary>
public sealed class AnswerServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly AnswerEngine _engine;
    private readonly ServerOptions _options;
    private readonly DateTimeOffset _since;
    private readonly byte[]? _tokenHash;

    private AnswerServer(WebApplication app, AnswerEngine engine, ServerOptions options, TimeProvider time)
    {
        (_app, _engine, _options, _since) = (app, engine, options, time.GetUtcNow());
        _tokenHash = options.Token is { } token ? SHA256.HashData(Encoding.UTF8.GetBytes(token)) : null;
        app.Use(GuardAsync);
        app.MapGet("/health", context => context.Response.WriteAsJsonAsync(new JsonObject { ["status"] = "ok", ["requests"] = engine.Open }, Replies.Json, context.RequestAborted));
        app.MapGet("/v1/models", context => context.Response.WriteAsJsonAsync(Replies.Models(engine.Models, _since), Replies.Json, context.RequestAborted));
        app.MapGet("/v1/models/{*id}", ModelAsync);
        app.MapPost("/v1/chat/completions", context => CompletionEndpoint.AnswerAsync(context, engine, isChat: true, options, time));
        app.MapPost("/v1/completions", context => CompletionEndpoint.AnswerAsync(context, engine, isChat: false, options, time));
    }

    /// <summary>Where it listens: <c>http://127.0.0.1:8080</c>.</summary>
    public Uri Address { get; private set; } = null!;

    /// <summary>Starts to listen.</summary>
    /// <param name="engine">Answers. It must outlive the server.</param>
    /// <param name="options">Where to listen and what to take; null for the defaults.</param>
    /// <param name="time">The clock of the replies; null: the system's.</param>
    /// <param name="cancellationToken">Stops the start.</param>
    /// <exception cref="ServerException">GA5038: other machines would reach it without a token. GA5039: the port is taken.</exception>
    public static async Task<AnswerServer> StartAsync(AnswerEngine engine, ServerOptions? options = null, TimeProvider? time = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(engine);
        options ??= new();
        var place = options.Check();
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = options.MaxBodyBytes;
            kestrel.Limits.MaxConcurrentConnections = 4L * (engine.Options.MaxConcurrent + engine.Options.MaxWaiting);
            kestrel.Listen(place, listen => listen.Protocols = HttpProtocols.Http1);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.Grace);
        var app = builder.Build();
        var server = new AnswerServer(app, engine, options, time ?? TimeProvider.System);
        try
        {
            await app.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is IOException or SocketException)
        {
            await app.DisposeAsync().ConfigureAwait(false);
            throw ServerException.Taken(place.ToString(), failure);
        }

        server.Address = new(app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First());
        return server;
    }

    /// <summary>Takes no more requests, lets those under way end for <see cref="ServerOptions.Grace"/>, and cuts the rest.</summary>
    public async Task StopAsync()
    {
        using var grace = new CancellationTokenSource(_options.Grace);
        await _app.StopAsync(grace.Token).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        await _app.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Around every request: who may ask, and errors as clients expect them.</summary>
    private async Task GuardAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            Check(context.Request);
            await next(context).ConfigureAwait(false);
            if (context.Response is { HasStarted: false, StatusCode: StatusCodes.Status404NotFound or StatusCodes.Status405MethodNotAllowed })
            {
                throw ServerException.NotFound(context.Request.Method, context.Request.Path);
            }
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has gone: nobody reads an answer.
        }
        catch (GradientAtomsException error)
        {
            await ReplyAsync(context, ErrorReply.Of(error)).ConfigureAwait(false);
        }
        catch (BadHttpRequestException error)
        {
            await ReplyAsync(context, ErrorReply.Of(ServerException.NotJson("cannot be read", error, error.StatusCode))).ConfigureAwait(false);
        }
        catch (Exception failure) when (failure is not IOException)
        {
            await ReplyAsync(context, ErrorReply.Of(ServerException.Unexpected(failure))).ConfigureAwait(false);
        }
    }

    private void Check(HttpRequest request)
    {
        if (_tokenHash is null)
        {
            // A page of another site can make a browser ask this address under that site's name.
            var host = request.Host.Host.Trim('[', ']');
            if (host != "localhost" && !(IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address)))
            {
                throw ServerException.ForeignHost(request.Host.Value ?? "missing");
            }

            return;
        }

        const string scheme = "Bearer ";
        var header = request.Headers.Authorization.ToString();
        var token = header.StartsWith(scheme, StringComparison.OrdinalIgnoreCase) ? header[scheme.Length..].Trim() : string.Empty;
        if (request.Path != "/health" && !CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(token)), _tokenHash))
        {
            throw ServerException.NoToken();
        }
    }

    private Task ModelAsync(HttpContext context)
    {
        var id = (string?)context.Request.RouteValues["id"] ?? string.Empty;
        var model = _engine.FindModel(id);
        return context.Response.WriteAsJsonAsync(Replies.Model(model, _since), Replies.Json, context.RequestAborted);
    }

    private static async Task ReplyAsync(HttpContext context, ErrorReply error)
    {
        if (context.Response.HasStarted)
        {
            context.Abort();
            return;
        }

        context.Response.Clear();
        context.Response.StatusCode = error.Status;
        if (error.Status == StatusCodes.Status429TooManyRequests)
        {
            context.Response.Headers.RetryAfter = "1";
        }

        await context.Response.WriteAsJsonAsync(error.Body, Replies.Json, context.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>The command line has the signals.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
