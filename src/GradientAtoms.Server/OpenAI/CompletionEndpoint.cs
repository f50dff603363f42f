using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using GradientAtoms.Runs.Answers;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace GradientAtoms.Server.OpenAI;

/// <summary>Answers <c>/v1/chat/completions</c> and <c>/v1/completions</c>, whole or as server-sent events.</summary>
internal static class CompletionEndpoint
{
    public static async Task AnswerAsync(HttpContext context, AnswerEngine engine, bool isChat, ServerOptions options, TimeProvider time)
    {
        var body = await RequestBody.ReadAsync(context, options.MaxBodyBytes).ConfigureAwait(false);
        CompletionRequest request;
        using (body)
        {
            request = isChat ? CompletionRequest.ReadChat(body.RootElement, engine) : CompletionRequest.ReadCompletion(body.RootElement, engine, options.MaxPrompts);
        }

        var answers = new List<Answer>();
        try
        {
            foreach (var question in request.Questions)
            {
                answers.Add(engine.Ask(question, context.RequestAborted));
            }

            var replies = new Replies(request, time.GetUtcNow());
            await (request.IsStream ? StreamAsync(context, request, replies, answers) : WholeAsync(context, replies, answers)).ConfigureAwait(false);
        }
        finally
        {
            answers.ForEach(answer => answer.Dispose());
        }
    }

    private static async Task WholeAsync(HttpContext context, Replies replies, List<Answer> answers)
    {
        var texts = await Task.WhenAll(answers.Select(answer => answer.ReadTextAsync(context.RequestAborted))).ConfigureAwait(false);
        await context.Response.WriteAsJsonAsync(replies.Whole([.. texts.Zip(answers)]), Replies.Json, context.RequestAborted).ConfigureAwait(false);
    }

    private static async Task StreamAsync(HttpContext context, CompletionRequest request, Replies replies, List<Answer> answers)
    {
        var chunks = Channel.CreateBounded<JsonObject>(16);
        var reading = ReadAllAsync(chunks.Writer, replies, answers, context.RequestAborted);

        // What fails before the first token still has a status of its own.
        if (await chunks.Reader.WaitToReadAsync(context.RequestAborted).ConfigureAwait(false))
        {
            context.Response.ContentType = "text/event-stream";
            context.Response.Headers.CacheControl = "no-cache";
            context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
            try
            {
                if (request.IsChat)
                {
                    await SendAsync(context, replies.First()).ConfigureAwait(false);
                }

                await foreach (var chunk in chunks.Reader.ReadAllAsync(context.RequestAborted).ConfigureAwait(false))
                {
                    await SendAsync(context, chunk).ConfigureAwait(false);
                }

                await reading.ConfigureAwait(false);
                if (request.WithUsage)
                {
                    await SendAsync(context, replies.UsageChunk(answers)).ConfigureAwait(false);
                }

                await SendAsync(context, "[DONE]").ConfigureAwait(false);
            }
            catch (GradientAtomsException error)
            {
                await SendAsync(context, ErrorReply.Of(error).Body).ConfigureAwait(false);
            }
        }

        await reading.ConfigureAwait(false);
    }

    private static async Task ReadAllAsync(ChannelWriter<JsonObject> chunks, Replies replies, List<Answer> answers, CancellationToken cancellationToken)
    {
        try
        {
            await Task.WhenAll(answers.Select(async (answer, index) =>
            {
                await foreach (var piece in answer.ReadAsync(cancellationToken).ConfigureAwait(false))
                {
                    await chunks.WriteAsync(replies.Piece(index, piece), cancellationToken).ConfigureAwait(false);
                }

                await chunks.WriteAsync(replies.Last(index, answer), cancellationToken).ConfigureAwait(false);
            })).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            chunks.TryComplete(failure);
            throw;
        }

        chunks.TryComplete();
    }

    private static Task SendAsync(HttpContext context, JsonObject json) => SendAsync(context, json.ToJsonString(Replies.Json));

    // One line: JSON has no line breaks of its own.
    private static async Task SendAsync(HttpContext context, string data)
    {
        await context.Response.Body.WriteAsync(Encoding.UTF8.GetBytes($"data: {data}\n\n"), context.RequestAborted).ConfigureAwait(false);
        await context.Response.Body.FlushAsync(context.RequestAborted).ConfigureAwait(false);
    }
}

/// <summary>Reads the JSON of a request.</summary>
internal static class RequestBody
{
    private static readonly JsonDocumentOptions Options = new() { AllowDuplicateProperties = false, MaxDepth = 32 };

    public static async Task<JsonDocument> ReadAsync(HttpContext context, long most)
    {
        if (!context.Request.HasJsonContentType())
        {
            throw ServerException.NotJsonType();
        }

        try
        {
            return await JsonDocument.ParseAsync(context.Request.Body, Options, context.RequestAborted).ConfigureAwait(false);
        }
        catch (JsonException error)
        {
            throw ServerException.NotJson("is no JSON, or has a field twice", error);
        }
        catch (BadHttpRequestException error) when (error.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            throw ServerException.TooLarge(most);
        }
    }
}
