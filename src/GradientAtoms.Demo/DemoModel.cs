namespace GradientAtoms.Demo;

/// <summary>The built-in model: an ordinary Hugging Face folder beside the program.</summary>
public static class DemoModel
{
    /// <summary>Where it lies.</summary>
    /// <exception cref="Runs.RunFolderException">GA2695: it is not there.</exception>
    public static string Folder
    {
        get
        {
            var folder = Path.Combine(AppContext.BaseDirectory, "demo-model");
            return File.Exists(Path.Combine(folder, "model.safetensors"))
                ? folder
                : throw new Runs.RunFolderException("GA2695", folder, "lacks the built-in model: this build of gatoms is not whole", "Build it again, or copy the demo-model folder beside the program.");
        }
    }
}
